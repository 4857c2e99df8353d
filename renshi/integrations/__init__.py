"""renshi inside other tools: `datasets`, spaCy, scikit-learn. Each module needs its tool, the package none of them."""
