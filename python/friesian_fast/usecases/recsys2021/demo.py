"""The walkthrough: its steps with its settings, and the two users it asks for."""

from friesian_fast.usecases.pipeline import Step

_HERE = "friesian_fast.usecases.recsys2021"

USERS = ("20", "7")  # their vectors have few candidates in common
USER_ID_TYPE = "int64"

STEPS = (
    Step(
        name="generate", module=f"{_HERE}.generate", arguments=("100000", "data"), outputs=("data",), clears=("data",)
    ),
    Step(
        name="preprocess",
        module=f"{_HERE}.preprocess",
        arguments=("--data_dir", "data", "--cross_sizes", "600"),
        outputs=("data/preprocessed",),
    ),
    Step(
        name="train_wnd",
        module=f"{_HERE}.train_wnd",
        arguments=(
            *("--data_dir", "data/preprocessed", "--model_dir", "recsys_wnd", "--batch_size", "3200"),
            *("--epoch", "5", "--learning_rate", "3e-4", "--schedule", "linear", "--dropout", "0.3"),
            *("--early_stopping", "0"),
        ),
        outputs=("recsys_wnd",),
    ),
    Step(
        name="train_two_tower",
        module=f"{_HERE}.train_two_tower",
        arguments=(
            *("--data_dir", "data/preprocessed", "--model_dir", "recsys_2tower"),
            *("--batch_size", "8000", "--epochs", "1"),
        ),
        outputs=("recsys_2tower",),
    ),
    Step(
        name="predict_two_tower",
        module=f"{_HERE}.predict_two_tower",
        arguments=("--data_dir", "data/preprocessed", "--model_dir", "recsys_2tower", "--batch_size", "8000"),
        outputs=("data/preprocessed/user_ebd.parquet", "data/preprocessed/item_ebd.parquet"),
    ),
    Step(
        name="publish",
        module=f"{_HERE}.publish",
        arguments=(*("--data_dir", "data/preprocessed", "--wnd_dir", "recsys_wnd", "--releases", "releases"),),
        outputs=("releases/CURRENT",),
    ),
)
