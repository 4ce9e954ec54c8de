"""A page of Gradio: a greeting, a stream of words, and an upload."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import gradio as gr


def greet(name: str) -> str:
    return f"Hello, {name}."


def spell(name: str) -> Iterator[str]:
    for end in range(1, len(name) + 1):
        yield "-".join(name[:end])


def measure(path: str) -> str:
    data = Path(path).read_bytes()
    return f"{len(data)} bytes, {hashlib.sha256(data).hexdigest()}"


with gr.Blocks(title="Tide table", analytics_enabled=False) as page:
    name = gr.Textbox(label="Name")
    greeting = gr.Textbox(label="Greeting")
    spelling = gr.Textbox(label="Spelling")
    gr.Button("Greet").click(greet, name, greeting)
    gr.Button("Spell").click(spell, name, spelling)
    file = gr.File(label="File")
    size = gr.Textbox(label="Size")
    file.upload(measure, file, size)

page.launch(server_name="127.0.0.1", server_port=int(os.environ["PORT"]), quiet=True)
