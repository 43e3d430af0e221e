"""Components that Gradio lacks, and the pieces of HTML that tabs share."""
