"""Small records for tests of the store."""

from controlplane.model.people import User


def record_id(number: int) -> str:
    """A well-formed id."""
    return f"{number:024x}"


def user(number: int = 1, name: str = "ann", **fields: object) -> User:
    """A user; `number` decides the id."""
    return User(
        **{
            "id": record_id(number),
            "username": name,
            "email": f"{name}@example.com",
            "created_at": 0.0,
            **fields,
        }  # type: ignore[arg-type]
    )
