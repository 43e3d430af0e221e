"""The workspaces of the page, a room each: a file a tab, or a part of one that stands alone."""
