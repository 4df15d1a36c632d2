"""Programs for whoever works on this project: generators, checks, and `tools.bundle`, which packs what is released."""
