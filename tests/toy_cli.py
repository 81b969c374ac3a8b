"""`strandline` with the toy source alone, as a process of its own: ``python -m tests.toy_cli drain``."""

from pipeline_assets import registry
from tests.toy_source import TOY

registry.SOURCES = (TOY,)
registry.get_source.__defaults__ = ((TOY,),)

if __name__ == "__main__":
    from cli.main import main

    main()
