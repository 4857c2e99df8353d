# Short names for dev.py, which needs no make.
.PHONY: extract test lint types wheel ci
extract test lint types wheel ci:
	python3 dev.py $@
