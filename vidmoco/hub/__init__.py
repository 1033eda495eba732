"""A backbone as a repository of the Hugging Face Hub: files, model card, upload."""
