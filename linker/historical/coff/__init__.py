"""COFF of System V Release 3."""
