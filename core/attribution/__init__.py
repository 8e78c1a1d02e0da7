"""Why: which places of a photo speak for a class. Tasks for the pages and the command line; this is the door."""

from core.attribution.explaining import attribute, attribute_simply, explain
from core.attribution.hiding import hide

__all__ = ["attribute", "attribute_simply", "explain", "hide"]
