"""Applications that write absolute links. Usage: linking.py fastapi | flask"""

import os
import sys

HOST, PORT = "127.0.0.1", int(os.environ["PORT"])

if sys.argv[1] == "fastapi":
    import uvicorn
    from fastapi import FastAPI

    uvicorn.run(FastAPI(), host=HOST, port=PORT, root_path=os.environ["PREFIX"])
else:
    from flask import Flask, url_for
    from werkzeug.middleware.proxy_fix import ProxyFix

    flask = Flask(__name__)

    @flask.get("/")
    def home() -> str:
        return f'<a href="{url_for("page", name="tides")}">tides</a>'

    @flask.get("/page/<name>")
    def page(name: str) -> str:
        return f"about {name}"

    flask.wsgi_app = ProxyFix(flask.wsgi_app, x_prefix=1)  # type: ignore[method-assign]
    flask.run(HOST, PORT)
