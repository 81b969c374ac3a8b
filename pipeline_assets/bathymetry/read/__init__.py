"""Files -> `SurveyLine`: one module for each format. Pure functions; the only thing they raise about a file is `Refused`.

line.py says what a line is, formats.py which formats there are.
"""
