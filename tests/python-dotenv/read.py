"""Reads each .env file of a folder as pydantic-settings does, and prints {file: {name: value}} as JSON; null for a name without a value."""

import json
import logging
import pathlib
import sys

from dotenv import dotenv_values

# Lines that can't be read are part of the files.
logging.disable(logging.CRITICAL)
folder = pathlib.Path(sys.argv[1])
print(json.dumps({path.name: dotenv_values(path, encoding="utf-8") for path in sorted(folder.iterdir())}))
