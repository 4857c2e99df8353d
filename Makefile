# Short names for dev.py, which needs no make.
.PHONY: extract test lint types wheel javascript ci
extract test lint types wheel javascript ci:
	python3 dev.py $@
