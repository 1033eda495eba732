"""What ``import vidmoco`` gives: the commands as functions, for notebooks and scripts."""
