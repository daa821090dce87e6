"""What each client makes of each fault, measured: `just frameworks`.

clients/        a driver of a few lines for each client, run in an environment of its own
worker.py       what runs a driver there, and answers line by line (worker.mjs: the same for Node)
catalogue.py    the clients, and what is installed for them
run.py          environments, workers and verdicts; writes comparison.json
page.py         docs/reference/comparison.md, and the table in docs/how-to/guard.md
"""
