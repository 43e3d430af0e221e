"""Pictures to learn from: data sets, their readers, decoding of foreign files, floats and bytes, batches in memory."""
