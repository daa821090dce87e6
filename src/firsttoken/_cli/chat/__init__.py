"""`firsttoken chat`: a conversation in the terminal.

::

    session.py       reads what the user sends, shows what the model answers; Ctrl-C
    prompt.py        the line editor, by prompt_toolkit
    commands.py      /help and the others
    conversation.py  what was said, what is sent of it, what is taken back, and the transcript that keeps it
    screen.py        the answer on a terminal
    markdown.py      its Markdown, by rich, written once and never again

prompt_toolkit is imported for the first prompt, rich for the first answer.
"""
