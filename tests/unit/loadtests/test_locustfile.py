import ast

from tests.architecture.tree import nodes, python_files

PATCHING = {"locust", "gevent", "geventhttpclient"}


def test_only_the_locust_file_and_its_users_import_locust():
    """locust replaces the process's sockets, threads and sleep: whatever else is imported here, by
    tests too, must stay what it is.
    """
    importing = set()
    for path in python_files("loadtests"):
        for node in nodes(path):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if PATCHING & {name.partition(".")[0] for name in names}:
                importing.add(path.name)
            if any(name == "loadtests.users" for name in names):
                importing.add(path.name)
    assert importing == {"locustfile.py", "users.py"}
