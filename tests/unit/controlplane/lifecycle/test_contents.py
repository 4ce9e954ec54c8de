import msgspec
import pytest

from controlplane.lifecycle.contents import ImageError, ImageRules, Permits, check_content
from controlplane.lifecycle.plans import ForbiddenError, UnfitError
from controlplane.model.artifacts import ArtifactSpec, Container, ContainerGroup
from tests.unit.controlplane.lifecycle import worlds


def rules(allowed="", denied="", *, enabled=True) -> ImageRules:
    return ImageRules.parse(enabled=enabled, allowed=allowed, denied=denied)


def spec_of(*containers: Container) -> ArtifactSpec:
    return ArtifactSpec(container_groups=(ContainerGroup(containers=containers),))


@pytest.mark.parametrize(
    ("image", "found", "expected"),
    [
        pytest.param("a/b:1", rules(), True, id="no-lists-permit-all"),
        pytest.param("a/b:1", rules("x/*", "*", enabled=False), True, id="switched-off"),
        pytest.param("a/b/c:1", rules("a/*"), True, id="a-star-takes-slashes-too"),
        pytest.param("x/b:1", rules("a/*"), False, id="not-on-the-list"),
        pytest.param("x/b:1", rules("a/*, x/*"), True, id="on-the-list-after-a-comma"),
        pytest.param("x/b:1", rules("a/* x/b:?"), True, id="one-character"),
        pytest.param("x/b:10", rules("x/b:?"), False, id="two-are-not-one"),
        pytest.param("a/b:latest", rules("a/*", "*:latest"), False, id="deny-wins"),
        pytest.param("a/b:1", rules("", "*:latest"), True, id="only-a-denylist"),
        pytest.param("a/b:1", rules("a/b"), False, id="whole-uris-are-matched"),
        pytest.param("axb", rules("a.b"), False, id="a-dot-is-a-dot"),
    ],
)
def test_lists_of_globs_decide_which_images_are_permitted(image, found, expected):
    assert found.permits(image) is expected


def test_an_image_that_is_not_permitted_is_refused_in_the_contracts_words():
    spec = spec_of(Container(image_uri="a/main:1"), Container(image_uri="b/side:1"))
    check_content("service", spec, permits=Permits(images=rules("a/* b/*")))
    with pytest.raises(ImageError) as caught:
        check_content("service", spec, permits=Permits(images=rules("a/*")))
    assert str(caught.value) == "Image URI 'b/side:1' is not permitted on this cluster."
    assert caught.value.status == 422


def test_a_container_without_an_image_has_none_to_check():
    unbuilt = spec_of(Container(image_build_config={}))
    check_content("service", unbuilt, permits=Permits(images=rules("a/*")))


@pytest.mark.parametrize(
    ("context", "what"),
    [
        ({"allowPrivilegeEscalation": True}, "allowPrivilegeEscalation"),
        ({"capabilities": {"add": ["NET_ADMIN"]}}, "capabilities.add"),
        ({"seccompProfile": {"type": "Unconfined"}}, "seccompProfile"),
    ],
)
def test_only_admins_loosen_a_containers_security(context, what):
    spec = spec_of(Container(image_uri="i:1"), Container(image_uri="i:1", security_context=context))
    check_content("service", spec, permits=Permits())
    place = rf"spec\.containerGroups\.0\.containers\.1\.securityContext\.{what} loosens"
    with pytest.raises(ForbiddenError, match=place):
        check_content("service", spec, permits=Permits(privileges=False))


@pytest.mark.parametrize(
    "context",
    [
        None,
        {},
        {"allowPrivilegeEscalation": False},
        {"capabilities": {"add": [], "drop": ["ALL"]}},
        {"readOnlyRootFilesystem": True},
        {"seccompProfile": {"type": "Localhost", "localhostProfile": "p"}},
    ],
)
def test_everybody_may_tighten_it(context):
    spec = spec_of(Container(image_uri="i:1", security_context=context))
    check_content("service", spec, permits=Permits(privileges=False))


@pytest.mark.parametrize(
    ("field", "value", "own"),
    [("storage", {"mode": "nimCache"}, "nim"), ("a2a_enabled", True, "agent")],
)
def test_what_goes_with_one_type_is_refused_for_the_others(field, value, own):
    spec = msgspec.structs.replace(worlds.SPEC, **{field: value})
    check_content(own, spec, permits=Permits())
    with pytest.raises(UnfitError, match=f"of type {own} only, and this one is service"):
        check_content("service", spec, permits=Permits())
