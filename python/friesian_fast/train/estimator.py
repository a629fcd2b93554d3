"""`Estimator`: train, evaluate and run a Keras or PyTorch model, in this process, in several, or on Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.models.inputs import Categorical
from friesian_fast.spec import FeatureSpec
from friesian_fast.train.checkpoint import FILE, read_state, write_state
from friesian_fast.train.comm import Comm
from friesian_fast.train.fields import Wanted, wanted
from friesian_fast.train.job import Work
from friesian_fast.train.makers import KerasMaker, Precision, TorchMaker
from friesian_fast.train.negatives import Negatives
from friesian_fast.train.news import News
from friesian_fast.train.runner import Runner
from friesian_fast.train.scores import Scale, require_known
from friesian_fast.train.settings import (
    BUFFER_ROWS,
    Backend,
    archive_of,
    check_checkpoints,
    check_numbers,
    check_outputs,
    check_precision,
    check_stopping,
    columns_read,
    cores_of,
    is_function,
    names_of,
    sorted_callbacks,
)
from friesian_fast.train.source import open_source

if TYPE_CHECKING:
    from friesian_fast.feature import FeatureTable

Features = FeatureSpec | Iterable[str | Categorical]

_BATCH_SIZE = 1024
_SAVED = "estimator.safetensors"


class Estimator:
    """A model to train, made by `from_keras` or `from_torch`.

    The same data, seed and settings give the same batches on any number of workers and any backend, and so the same
    weights up to the order of summation. (A batch normalisation has the moments of its own worker's rows, so
    models with one do differ.)
    """

    def __init__(
        self,
        maker: KerasMaker | TorchMaker,
        *,
        metrics: Sequence[str],
        backend: Backend,
        workers: int,
        cores: int,
        seed: int,
        task: Any = None,
    ) -> None:
        require_known(metrics)
        self._runner = Runner(maker, backend, workers, cores, task)
        self._metrics = tuple(metrics)
        self._seed = seed
        self._features: list[Wanted] | None = None
        self._epochs = 0

    @classmethod
    def from_keras(
        cls,
        model_creator: Any,
        *,
        config: Mapping[str, Any] | None = None,
        metrics: Sequence[str] = (),
        backend: Backend = "local",
        workers: int = 1,
        cores_per_worker: int | None = None,
        seed: int = 0,
        precision: Precision = "fp32",
        lazy_embeddings: bool = True,
        outputs: Scale | None = None,
    ) -> Estimator:
        """Of a compiled Keras 3 model.

        Parameters
        ----------
        model_creator : callable or keras.Model
            A function of the config (or of nothing) that returns a compiled model, or such a model.
        config : mapping, optional
            Handed to `model_creator`.
        metrics : sequence of str, optional
            Of ``auc``, ``binary_accuracy``, ``binary_crossentropy``, ``precision``, ``recall``: measured once an epoch
            over all rows, at next to no cost. Those the model is compiled with are measured too, as Keras does.
        backend : {"local", "spark"}, default "local"
            Processes of this machine, or tasks of the active Spark session.
        workers : int, default 1
            One local worker is this process.
        cores_per_worker : int, optional
            Threads of each; the cores there are, shared out, if left out.
        seed : int, default 0
            Of initial weights, dropout and the order of the rows. (It sets the framework's own generators too.)
        precision : {"fp32", "bf16"}, default "fp32"
            "bf16" computes layers in bfloat16 with float32 weights; it needs a function.
        lazy_embeddings : bool, default True
            With plain Adam, update only those rows of tables of more than 10,000 that a batch touches, see `LazyAdam`;
            False is Keras' Adam to the letter.
        outputs : {"probabilities", "logits"}, optional
            What the model gives; needed for `metrics` under a loss that is not one of Keras' binary ones, which say.

        Returns
        -------
        Estimator
        """
        options: dict[str, Any] = {"config": dict(config or {}), "seed": seed, "precision": precision}
        options |= {"lazy_embeddings": lazy_embeddings, "outputs": outputs}
        settings: dict[str, Any] = {"metrics": metrics, "backend": backend, "workers": workers, "seed": seed}
        options["cores"] = settings["cores"] = cores_of(cores_per_worker, backend, workers)
        check_precision(precision)
        check_outputs(outputs)
        if is_function(model_creator):
            return cls(KerasMaker(creator=model_creator, **options), **settings)
        if precision != "fp32":
            raise InvalidInputError("precision 'bf16' is set while a model is made; give a function that makes it")
        from friesian_fast.train.keras_task import KerasTask

        task = KerasTask(model_creator, Comm(), lazy_embeddings=lazy_embeddings, outputs=outputs)
        alone = backend == "local" and workers == 1
        archive = None if alone else archive_of(model_creator)
        return cls(KerasMaker(archive=archive, **options), **settings, task=task)

    @classmethod
    def from_torch(
        cls,
        model_creator: Callable[..., Any],
        optimizer: Callable[..., Any],
        loss: Any,
        metrics: Sequence[str] = (),
        *,
        scheduler: Callable[..., Any] | None = None,
        config: Mapping[str, Any] | None = None,
        backend: Backend = "local",
        workers: int = 1,
        cores_per_worker: int | None = None,
        seed: int = 0,
        precision: Precision = "fp32",
        outputs: Scale | None = None,
    ) -> Estimator:
        """Of a PyTorch model.

        Parameters
        ----------
        model_creator : callable
            A function of the config (or of nothing) that returns a `torch.nn.Module`. Its ``forward`` takes the
            features by name, or all of them as one dict, of float32 and int64 tensors; lists are filled up to
            shape (n, length).
        optimizer : callable
            A function of the model and the config (or of the model) that returns a `torch.optim.Optimizer`.
        loss : callable
            Of predictions and labels to the mean over rows, such as ``torch.nn.BCEWithLogitsLoss()``.
        metrics : sequence of str, optional
            As in `from_keras`.
        scheduler : callable, optional
            A function of the optimizer and the config (or of the optimizer) that returns a
            `torch.optim.lr_scheduler.LRScheduler`, which sets the learning rate of every step. It has to depend on the
            number of the step alone: a training that goes on later makes it anew and lets it count up to there.
        config, backend, workers, cores_per_worker, seed, precision, outputs
            As in `from_keras`.

        Returns
        -------
        Estimator
        """
        check_precision(precision)
        check_outputs(outputs)
        if not is_function(model_creator):
            raise InvalidInputError("from_torch takes a function that makes the model, so that each worker can")
        maker = TorchMaker(
            creator=model_creator,
            optimizer=optimizer,
            loss=loss,
            scheduler=scheduler,
            config=dict(config or {}),
            seed=seed,
            precision=precision,
            outputs=outputs,
            cores=cores_per_worker,
        )
        cores = cores_of(cores_per_worker, backend, workers)
        return cls(maker, metrics=metrics, backend=backend, workers=workers, cores=cores, seed=seed)

    def fit(
        self,
        data: Any,
        epochs: int = 1,
        batch_size: int = _BATCH_SIZE,
        *,
        feature_cols: Features | None = None,
        label_cols: str | Sequence[str] | None = None,
        validation_data: Any = None,
        callbacks: Sequence[Any] = (),
        negatives: Negatives | None = None,
        buffer_rows: int = BUFFER_ROWS,
        checkpoint_dir: str | Path | None = None,
        checkpoint_steps: int | None = None,
        max_restarts: int = 0,
        verbose: bool = True,
    ) -> list[dict[str, float]]:
        """Train; a second call goes on from where the first ended.

        Parameters
        ----------
        data : FeatureTable, Spark or pandas DataFrame, Arrow table, or path of Parquet
        epochs : int, default 1
        batch_size : int, default 1024
            Rows of a step, of all workers together. The last batch is no smaller than the others by more than two rows.
        feature_cols : sequence of str or Categorical, or FeatureSpec, optional
            The model's inputs; all that the model names if left out. Ids are checked against the sizes given.
        label_cols : str or sequence of str, optional
            None for a model that needs none.
        validation_data : as data, optional
            Measured after every epoch, as ``val_<metric>``.
        callbacks : sequence, optional
            `EarlyStopping`; Keras callbacks, which worker 0 runs around epochs, not batches; functions of the number
            of the epoch, from 1, and its metrics, which this process calls, such as `TensorBoardLog` and `MLflowLog`.
        negatives : Negatives, optional
            Rows to add to every batch, which are drawn anew each time.
        buffer_rows : int, default 262144
            Rows that all workers together hold and shuffle at a time; at least a row group of the files.
        checkpoint_dir : path, optional
            Where to keep what a killed run goes on from: the same call begins there, and ends with the weights of an
            unbroken run. It is removed when the call has ended well. Rank 0, wherever it runs, must see it under this
            path.
        checkpoint_steps : int, optional
            Keep it after so many steps, besides at the end of every epoch.
        max_restarts : int, default 0
            How often to begin again, at the last checkpoint, after a worker died or no longer answered.
        verbose : bool, default True
            A line per epoch, and a progress bar in a terminal.

        Returns
        -------
        list of dict
            The metrics of each epoch: ``loss``, those asked for, ``rows_per_second``, ``input_wait`` (the share of
            the time that training waited for rows) and ``val_…``.

        Raises
        ------
        InvalidInputError, NotFoundError
            If a setting, the data or the model cannot be used; named by column, file and row, and by rank.
        WorkerError
            If a worker died, no longer answered (`WorkerLostError`), or failed with an error of the model's own code.
        """
        check_numbers(epochs=epochs, batch_size=batch_size, buffer_rows=buffer_rows)
        check_checkpoints(checkpoint_dir, checkpoint_steps, max_restarts)
        if batch_size < self._runner.workers:
            raise InvalidInputError(f"batch_size is {batch_size}; {self._runner.workers} workers need a row each")
        stopping, of_keras, own = sorted_callbacks(callbacks)
        check_stopping(stopping, has_validation=validation_data is not None)
        work = replace(
            self._work("fit", data, batch_size, feature_cols, names_of(label_cols), negatives=negatives),
            epochs=epochs,
            buffer_rows=buffer_rows,
            early_stopping=stopping,
            callbacks=of_keras,
            checkpoint_dir=None if checkpoint_dir is None else Path(checkpoint_dir).absolute(),
            checkpoint_steps=checkpoint_steps,
        )
        if validation_data is not None:
            read = None if work.features is None else columns_read(work.features, work.labels, negatives)
            alone = self._runner.is_alone
            validation = open_source(validation_data, read, name="validation data", in_memory=alone)
            extend = None if work.extend is None else work.extend.also_without(validation)
            work = replace(work, validation=validation, validation_extend=extend)
        done = self._runner.run(work, News(epochs, own, verbose=verbose), max_restarts)
        self._features = work.features
        self._epochs += len(done.history)
        if work.checkpoint_dir is not None:
            (work.checkpoint_dir / FILE).unlink(missing_ok=True)
        return done.history

    def evaluate(
        self,
        data: Any,
        batch_size: int = 8192,
        *,
        feature_cols: Features | None = None,
        label_cols: str | Sequence[str] | None = None,
    ) -> dict[str, float]:
        """Measure the model: ``loss`` and the metrics, over all rows.

        Parameters
        ----------
        data, feature_cols, label_cols
            As in `fit`; the features are those of the last `fit` if left out.
        batch_size : int, default 8192
            The answer does not depend on it.
        """
        work = self._work("evaluate", data, batch_size, feature_cols, names_of(label_cols))
        return self._runner.run(work, News(0, (), verbose=False)).history[0]

    def predict(
        self, data: Any, batch_size: int = 8192, *, feature_cols: Features | None = None, path: str | Path | None = None
    ) -> FeatureTable:
        """Run the model on every row.

        Parameters
        ----------
        data, feature_cols
            As in `evaluate`; no labels are needed.
        batch_size : int, default 8192
        path : path, optional
            The directory that gets the rows as Parquet, which all workers must see; a temporary one of this process
            if left out. What is there is replaced.

        Returns
        -------
        FeatureTable
            All columns of the data in its order, and ``prediction``: a float32, or a list of them where the model
            gives several numbers for a row.
        """
        from friesian_fast._files import replacing_directory
        from friesian_fast.feature import FeatureTable
        from friesian_fast.feature.tasks import scratch

        target = scratch("predictions") / "rows.parquet" if path is None else Path(path)
        work = self._work("predict", data, batch_size, feature_cols, [])
        with replacing_directory(target) as out:
            self._runner.run(replace(work, out=out), News(0, (), verbose=False))
            (out / "_SUCCESS").touch()
        return FeatureTable.read_parquet(str(target))

    def save(self, path: str | Path) -> None:
        """Write the weights and the optimizer's state into a directory, as safetensors, for `load`.

        To serve a model, take `get_model` and `friesian_fast.train.export`.
        """
        facts = {"framework": self._runner.framework, "epochs": self._epochs}
        write_state(Path(path) / _SAVED, self._runner.state(), facts)

    def load(self, path: str | Path) -> None:
        """Go on from what `save` wrote, of a model that is made in the same way.

        The learning rate is not taken over: it is the one of this model's optimizer, be it a number or a schedule.

        Raises
        ------
        NotFoundError
            If there is nothing.
        InvalidInputError
            If it is of another model or framework. (A shape is compared when the model is made next.)
        """
        file = Path(path) / _SAVED
        if not file.exists():
            raise NotFoundError(f"there is no {file}; Estimator.save writes it")
        state, facts = read_state(file)
        own = self._runner.framework
        if facts.get("framework") != own:
            raise InvalidInputError(f"{file} is of a {facts.get('framework')} model, this is a {own} one")
        self._runner.load(state)
        self._epochs = int(facts["epochs"])

    def get_model(self) -> Any:
        """The model with its present weights: a `keras.Model` or a `torch.nn.Module`."""
        return self._runner.model()

    def _work(
        self,
        kind: Literal["fit", "evaluate", "predict"],
        data: Any,
        batch_size: int,
        feature_cols: Features | None,
        labels: list[str],
        *,
        negatives: Negatives | None = None,
    ) -> Work:
        check_numbers(batch_size=batch_size)
        features = self._features if feature_cols is None else wanted(feature_cols)
        whole = features is None or kind == "predict"
        read = None if whole or features is None else columns_read(features, labels, negatives)
        names = {"fit": "training data", "evaluate": "the data to evaluate", "predict": "the data to predict"}
        source = open_source(data, read, name=names[kind], in_memory=self._runner.is_alone)
        return Work(
            kind=kind,
            maker=self._runner.maker,
            source=source,
            features=features,
            labels=labels,
            metrics=self._metrics,
            batch_size=batch_size,
            buffer_rows=BUFFER_ROWS,
            seed=self._seed,
            first_epoch=self._epochs,
            extend=None if negatives is None else negatives.prepared(source),
        )
