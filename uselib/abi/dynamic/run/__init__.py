"""One program against two versions of a library: recorded, aligned, compared, explained."""
