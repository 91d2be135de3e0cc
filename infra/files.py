"""Files written so that a power cut leaves the old one or the new one: ``functions.contract.files`` by its old name."""

from functions.contract.files import write_file as write_file
