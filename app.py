"""What a Hub Space runs (with spaces/README.md and spaces/requirements.txt beside it): the page of `renshi serve`."""

from renshi import Extractor
from renshi.app import build_app, launch_options

demo = build_app(Extractor.from_pretrained())

if __name__ == "__main__":
    demo.launch(**launch_options())
