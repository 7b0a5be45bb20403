"""Validates a passport's credential against the UNTP schema, with dppvalidator.

usage: python untp_validate.py CREDENTIAL_JSON
Prints JSON: {"valid": bool, "version": str, "errors": [str]}.
"""

import json
import sys

from dppvalidator import ValidationEngine

with open(sys.argv[1], encoding="utf-8") as file:
    credential = json.load(file)
engine = ValidationEngine(schema_version="0.6.1", layers=["schema", "model", "semantic"])
result = engine.validate(credential)
errors = [f"{e.path}: {e.message}" for e in result.errors]
print(json.dumps({"valid": result.valid, "version": result.schema_version, "errors": errors}))
