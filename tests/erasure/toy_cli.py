"""`strandline` with the toy source, whose subject is the value of its readings: ``python -m tests.erasure.toy_cli``."""

from dataclasses import replace

from pipeline_assets import registry
from tests.toy_source import TOY

WITH_SUBJECT = replace(TOY, subject="readings.value")

if __name__ == "__main__":
    registry.SOURCES = (WITH_SUBJECT,)
    registry.get_source.__defaults__ = ((WITH_SUBJECT,),)
    from cli.main import main

    main()
