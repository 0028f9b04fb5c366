"""The commands, one module a subject. They parse, call and print; what they do is elsewhere."""
