"""timm models: build, load, save and name them; weights from and for other tools."""
