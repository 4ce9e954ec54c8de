import json


async def test_smoke(api):
    w = await api.workload()
    print(json.dumps(w, indent=1))
    for path in (
        "/api/v2/workloads",
        "/api/v2/console/workloads/",
        "/api/v2/version",
        "/api/v2/account/info/",
        f"/api/v2/workloads/{w['id']}/events",
        f"/api/v2/workloads/{w['id']}/protons/",
        f"/api/v2/workloads/{w['id']}/protons/{w['protonId']}/statusDetails/",
        f"/api/v2/workloads/{w['id']}/settings",
        "/api/v2/artifactRepositories",
        "/docs",
        "/livez",
        "/readyz",
        "/metrics",
    ):
        r = await api.owner.get(path)
        print(path, r.status_code, r.text[:300], r.headers)
    r = await api.owner.get("/openapi.json")
    print(len(r.text), list(r.json()["paths"]))
    for op in ("start", "stop", "stop/", "start"):
        r = await api.owner.post(f"/api/v2/workloads/{w['id']}/{op}")
        print(op, r.status_code, r.text)
    r = await api.owner.delete(f"/api/v2/console/workloads/{w['id']}/")
    print(r.status_code, r.text)
