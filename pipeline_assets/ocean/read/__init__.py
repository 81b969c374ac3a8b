"""Files -> `CruiseFile`: one module for each format. Pure functions; the only thing they raise about a file is `Refused`.

cruise_file.py says what a cruise file is, formats.py which formats there are; archive.py looks into zips and packed files.
"""
