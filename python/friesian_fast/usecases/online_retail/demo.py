"""The use case's steps, and two customers to ask for: one of long standing, one whom nobody knows."""

from friesian_fast.usecases.pipeline import Step

_HERE = "friesian_fast.usecases.online_retail"

USERS = ("17850", "99999")
USER_ID_TYPE = "int64"

STEPS = (
    Step(name="prepare", module=f"{_HERE}.prepare", arguments=("--out", "prepared"), outputs=("prepared",)),
    Step(
        name="train",
        module=f"{_HERE}.train",
        arguments=("--data_dir", "prepared", "--model_dir", "models"),
        outputs=("models/ranker.json",),
    ),
    Step(
        name="publish",
        module=f"{_HERE}.publish",
        arguments=("--data_dir", "prepared", "--model_dir", "models", "--releases", "releases"),
        outputs=("releases/CURRENT",),
    ),
)
