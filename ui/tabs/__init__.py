"""The workspaces of the page: a file a tab, or a part of one that stands alone."""
