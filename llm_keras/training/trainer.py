"""The training and validation step of a language model, for plain `fit` and `evaluate`."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from llm_keras.errors import DivergedError
from llm_keras.fusion import fusing
from llm_keras.models.masking import Masking
from llm_keras.parallel.engine import Engine, Step
from llm_keras.parallel.replicated import Replicated
from llm_keras.training import objectives
from llm_keras.training.averaging import WeightAverage
from llm_keras.training.gradients import Learner
from llm_keras.training.loss_scale import LossScale
from llm_keras.training.losses import TokenLoss
from llm_keras.training.objectives import Batch

Logs = dict[str, tf.Tensor]
_NOT_FINITE = "llm_keras: the loss or its gradient is not finite"
#: What to do about a training that diverges.
REMEDY = (
    "Lower the learning rate, or warm up for longer; or go on without such steps, by"
    " training.divergence in the run file"
)
#: 2**31 / golden ratio: no two seeds share an update's key in a run of practical length.
_GOLDEN = 1_327_217_885


@keras.saving.register_keras_serializable(package="llm_keras")
class Trainer(keras.Model):
    """Trains a model by Keras's own `fit`, `evaluate` and callbacks, on one device or several.

    An update on every replica, in this order: gradients of the loss *sum* of each micro-batch,
    summed over micro-batches, then over replicas together with the number of predicted tokens, then
    divided by that number, then clipped and applied by the optimizer. So neither the number of
    micro-batches nor that of replicas changes what is learnt.

    Batches are dictionaries, see `objectives` for what each kind of model needs; `rows` int [B]
    numbers the samples of the whole run, for dropout and masks (default: within the batch). Batches
    of several shapes are traced once each. `fit` logs of each step `loss`, a mean over
    predicted tokens, their number `tokens`, `learning_rate`, and `grad_norm` before clipping; with
    experts also `router_loss`, which is learnt beside `loss`, and `dropped_fraction` of the choices
    of experts. `evaluate` gives the cross-entropy as `loss`, without smoothing and z-loss.

    Args:
        network: What is trained, one of `models`.
        seed: Of dropout and masks. A draw is a function of seed, update, layer and row alone.
        gradient_accumulation_steps: Micro-batches that each replica's part of a batch is cut into.
        label_smoothing: See `TokenLoss`.
        z_loss: See `TokenLoss`.
        masking: What a `MaskedLM` must guess. In `evaluate` it is the same each time.
        ema_decay: See `WeightAverage`; `evaluate` judges the average. None: no average.
        engine: The devices; the network must have been built under its scope. None: those of the
            `tf.distribute` strategy in scope, which without a scope is one device.
        skips_bad_steps: Whether a step whose loss or gradient is not finite, or whose loss exceeds
            `loss_limit`, leaves everything but the count of updates as it was, and `applied` is 0
            in the logs. Otherwise a step that is not finite ends `fit` with a DivergedError.

    Attributes:
        loss_limit: With `skips_bad_steps`: float32 scalar, infinite until something is assigned.
        input_seconds: How long the last step waited for its batch.
        loss_scale: Of a network that computes in float16. A step that overflows is skipped, which
            is no bad step: in the logs, `loss_scale` is that of the step, and `overflowed` is 1.

    Differs from the source: Keras clips before it sums over replicas, refuses accumulation under a
    distribution strategy, and weighs rows, not tokens (keras-team/keras#20582, #20585).
    """

    train_function: Any
    test_function: Any

    def __init__(
        self,
        network: keras.Model,
        *,
        seed: int = 0,
        gradient_accumulation_steps: int = 1,
        label_smoothing: float = 0.0,
        z_loss: float = 0.0,
        masking: Masking | None = None,
        ema_decay: float | None = None,
        engine: Engine | None = None,
        skips_bad_steps: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.engine = engine or Replicated()
        self.network = network
        self.seed = seed
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.token_loss = TokenLoss(label_smoothing, z_loss)
        self.masking = masking
        self.loss_scale: LossScale | None = None
        if network.compute_dtype == "float16":
            with self.engine.scope():
                self.loss_scale = LossScale()
        self.learner = Learner(
            network, objectives.of(network, masking), self.token_loss, self.engine, self.loss_scale
        )
        self.ema_decay = ema_decay
        self.average: WeightAverage | None = None
        self.skips_bad_steps = skips_bad_steps
        if skips_bad_steps:
            with self.engine.scope():
                self.loss_limit = keras.Variable(np.inf, dtype="float32", trainable=False)
        self.input_seconds = 0.0
        self.token_counter = keras.metrics.Sum(name="tokens", dtype="float32")
        self.built = True
        self.engine.plan(self.learner, gradient_accumulation_steps)
        self.engine.place_weights(network.variables)

    @property
    def step(self) -> int:
        """Updates applied so far."""
        return int(self.engine.value(self.optimizer.iterations))

    def call(self, inputs: Batch) -> tf.Tensor:
        """The network's logits."""
        return self.learner.logits(inputs)

    def compile(
        self,
        optimizer: Any = "rmsprop",
        *,
        run_eagerly: bool = False,
        jit_compile: bool = False,
    ) -> None:
        """Sets the optimizer. The loss is fixed, and a call of the step function is one update.

        Args:
            optimizer: A Keras optimizer. Its `global_clipnorm` clips the whole gradient.
            run_eagerly: For debugging.
            jit_compile: Whether XLA compiles the gradient of a micro-batch. Not more of a step:
                what devices exchange does not go through XLA.

        Raises:
            ValueError: The optimizer accumulates or scales gradients by itself, or XLA is asked to
                compile experts.
        """
        super().compile(optimizer=optimizer, run_eagerly=run_eagerly, jit_compile=False)
        if self.optimizer.gradient_accumulation_steps or hasattr(self.optimizer, "inner_optimizer"):
            raise ValueError(
                "Trainer sums micro-batches itself and scales no loss: give"
                " gradient_accumulation_steps to Trainer, and the plain optimizer to compile"
            )
        if jit_compile and self.network.settings.experts is not None:
            raise ValueError("XLA cannot compile experts; leave jit_compile out")
        self.learner = self.learner._replace(jit_compile=jit_compile)
        self.engine.place_optimizer(self.optimizer, self.trainable_variables)
        if self.ema_decay is not None:
            with self.engine.scope():
                self.average = WeightAverage(self.trainable_variables, self.ema_decay, self.engine)
        self.engine.place_state(self._counters())

    def _counters(self) -> list[keras.Variable]:
        """What steps read and write besides weights, slots and means."""
        counters = [variable for metric in self.metrics for variable in metric.variables]
        counters += [self.loss_limit] if self.skips_bad_steps else []
        return counters + (self.loss_scale.variables if self.loss_scale is not None else [])

    def get_weights(self) -> list[np.ndarray]:
        """Every whole weight, wherever it lies; Keras's callbacks ask."""
        return [self.engine.value(variable) for variable in self.weights]

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Sets what `get_weights` gave."""
        for variable, weight in zip(self.weights, weights, strict=True):
            self.engine.assign(variable, weight)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Keras's `evaluate`, of the averaged weights where there are any."""
        if self.average is None:
            return super().evaluate(*args, **kwargs)
        with self.average.in_place():
            return super().evaluate(*args, **kwargs)

    def make_train_function(self, force: bool = False) -> Any:
        """Called by `fit`: one update a call."""
        if self.train_function is None or force:
            self.train_function = self._explained(self._spread(self._train_step))
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        """Called by `evaluate` and for `validation_data`: one batch a call."""
        if self.test_function is None or force:
            self.test_function = self._spread(self._test_step)
        return self.test_function

    def _maybe_symbolic_build(self, **_: Any) -> None:
        """Everything is built; Keras would draw a batch here, which fails on several replicas."""

    def _spread(self, step: Step) -> Callable[[Iterator[Batch]], Logs]:
        """The step over all devices, as a function of an iterator of batches."""
        spread = self.engine.spread(step)
        # A function for each shape: TensorFlow takes many shapes of one function for a mistake, and
        # layers know more of a shape that is not left open.
        functions: dict[tuple[tf.TensorShape, ...], Step] = {}

        def next_batch(iterator: Iterator[Batch]) -> Logs:
            begin = time.perf_counter()
            batch = next(iterator)
            self.input_seconds = time.perf_counter() - begin
            if self.run_eagerly:
                return self.engine.call(spread, batch)
            parts = tf.nest.flatten(batch, expand_composites=True)
            shapes = tuple(part.shape for part in parts)
            if shapes not in functions:
                functions[shapes] = tf.function(spread, autograph=False)
            with fusing(wanted=self.engine.fuses):
                return self.engine.call(functions[shapes], batch)

        return next_batch

    def _explained(self, function: Callable[[Any], Logs]) -> Callable[[Any], Logs]:
        """Tells a step that is not finite from other failures, and which one it was."""

        @functools.wraps(function)
        def call(iterator: Any) -> Logs:
            try:
                return function(iterator)
            except tf.errors.InvalidArgumentError as error:
                if _NOT_FINITE not in str(error):
                    raise
            raise DivergedError(
                f"step {self.step + 1}: the loss or its gradient is not a finite number; the update"
                f" was not applied. {REMEDY}"
            )

        return call

    def _train_step(self, batch: Batch) -> Logs:
        """One update, on the engine's devices."""
        keyed = self._with_key(batch, self._update_key())
        sums = self.engine.sums(self.learner, keyed, self.gradient_accumulation_steps)
        per_token = 1.0 / tf.maximum(sums.tokens, 1.0)
        means = self.engine.each(lambda gradient: gradient * per_token, sums.gradients)
        loss, grad_norm = sums.loss * per_token, self.engine.global_norm(means)
        learning_rate = tf.identity(self.optimizer.learning_rate)
        good = tf.math.is_finite(loss) & tf.math.is_finite(grad_norm)
        scale = self._rescale(loss, grad_norm, good)
        needs = [learning_rate]
        if self.skips_bad_steps:
            good &= loss <= tf.convert_to_tensor(self.loss_limit)
        else:
            fine = good | (scale["overflowed"] > 0) if scale else good
            needs += self.engine.require(fine, _NOT_FINITE)
        with tf.control_dependencies(needs):
            if self.skips_bad_steps or scale:
                self.engine.update_if(
                    good, lambda: self._update(means), self.optimizer, self._changed_by_update()
                )
            else:
                self._update(means)
        logs = {
            "loss": loss,
            "tokens": sums.tokens,
            "learning_rate": learning_rate,
            "grad_norm": grad_norm,
            **scale,
        }
        if self.skips_bad_steps or scale:
            logs["applied"] = tf.cast(good, tf.float32)
        experts = self.network.settings.experts
        if experts is not None:
            choices = sums.routed * experts.experts_per_token
            logs["router_loss"] = sums.router_loss * per_token
            logs["dropped_fraction"] = tf.math.divide_no_nan(sums.dropped, choices)
        return logs

    def _rescale(self, loss: tf.Tensor, grad_norm: tf.Tensor, finite: tf.Tensor) -> Logs:
        """What the logs say of the loss scale, which is then that of the next step."""
        if self.loss_scale is None:
            return {}
        scale, overflowed = self.loss_scale.value(), self.loss_scale.overflowed(loss, grad_norm)
        self.loss_scale.update(overflowed, finite)
        return {"loss_scale": scale, "overflowed": tf.cast(overflowed, tf.float32)}

    def _update(self, gradients: Sequence[tf.Tensor]) -> None:
        self.engine.apply(self.optimizer, gradients, self.trainable_variables)
        if self.average is not None:
            self.average.update(self.optimizer.iterations)

    def _changed_by_update(self) -> list[keras.Variable]:
        """All but the count of updates."""
        counted = self.optimizer.iterations
        slots = [variable for variable in self.optimizer.variables if variable is not counted]
        means = self.average.averages if self.average is not None else []
        return [*self.trainable_variables, *slots, *means]

    def _test_step(self, batch: Batch) -> Logs:
        """The cross-entropy of one batch, on the engine's devices."""
        batch = self._with_key(batch, tf.constant(0, tf.int64))
        loss, tokens = self.engine.cross_entropy(self.learner, batch)
        self._loss_tracker.update_state(tf.math.divide_no_nan(loss, tokens), sample_weight=tokens)
        self.token_counter.update_state(tokens)
        loss, tokens = self.engine.sum([loss, tokens])
        return {"loss": tf.math.divide_no_nan(loss, tokens), "tokens": tokens}

    def _update_key(self) -> tf.Tensor:
        """A number mixed from seed and update, int64."""
        return tf.cast(self.optimizer.iterations, tf.int64) + self.seed * _GOLDEN % 2**31

    def _with_key(self, batch: Batch, update: tf.Tensor) -> Batch:
        """`rows` gives way to `key` int32 [B, 2]: that of the update, and the row in the run."""
        batch = dict(batch)
        size = tf.shape(batch["tokens"])[0]
        rows = batch.pop("rows", None)
        if rows is None:
            rows = self.engine.first_row(batch["tokens"]) + tf.range(size)
        columns = [tf.fill([size], update), tf.cast(rows, tf.int64)]
        batch["key"] = tf.cast(tf.stack(columns, axis=1) % 2**31, tf.int32)
        return batch

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            "seed": self.seed,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
            "label_smoothing": self.token_loss.label_smoothing,
            "z_loss": self.token_loss.z_loss,
            "masking": keras.saving.serialize_keras_object(self.masking),
            "ema_decay": self.ema_decay,
            "skips_bad_steps": self.skips_bad_steps,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Trainer:
        """A trainer with a network of its own, whose weights are new."""
        made = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects)
            for name in ("network", "masking")
        }
        return cls(**{**config, **made})
