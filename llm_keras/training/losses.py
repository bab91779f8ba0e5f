"""Token cross-entropy with label smoothing and z-loss, and its gradient without whole logits.

Shapes: N tokens, D hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import tensorflow as tf

from llm_keras.fusion import fusible

#: Logits that are held at once, in float32 numbers (16 MB), but never those of fewer tokens than
#: this: each block adds to the whole gradient of the output matrix, which must be worth it.
LOGITS_PER_BLOCK = 2**22
LEAST_TOKENS = 512


@dataclass(frozen=True)
class TokenLoss:
    """The loss of one predicted token.

    ``loss = (1 - s) * (Z - z[target]) + s * mean_v(Z - z[v]) + c * Z**2``

    with logits z, ``Z = log(sum_v exp(z[v]))``, smoothing s and z-loss coefficient c.

    Args:
        label_smoothing: s, the share of the target spread evenly over the vocabulary, the target
            itself included. Default 0.
        z_loss: c, which keeps Z near zero; 1e-4 is usual. Default 0.

    Call arguments:
        logits: float32 [..., V].
        targets: int32 [...], each in [0, V).

    Returns:
        float32 [...].

    References:
        Smoothing: Szegedy et al. 2016, section 7. z-loss: Chowdhery et al. 2022, section 5.
    """

    label_smoothing: float = 0.0
    z_loss: float = 0.0

    def __call__(self, logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """The loss of each token; see the class."""
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        if self.label_smoothing or self.z_loss:
            log_sum = tf.reduce_logsumexp(logits, axis=-1)
            spread = log_sum - tf.reduce_mean(logits, axis=-1)
            loss = (1.0 - self.label_smoothing) * loss + self.label_smoothing * spread
            loss += self.z_loss * tf.square(log_sum)
        return loss

    def sum_and_gradient(
        self,
        logits: tf.Tensor,
        targets: tf.Tensor,
        weights: tf.Tensor,
        in_pieces: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The weighted sum over tokens, and its gradient by the logits.

        ``d/dz[v] = softmax(z)[v] * (1 + 2 * c * Z) - (1 - s) * [v == target] - s / V``

        The same as autodiff of the above, at half the cost: one softmax gives both, since
        ``Z = max(z) - log(max(softmax(z)))``, where the logarithm's argument is at least 1 / V.

        Args:
            logits: float32 [N, V].
            targets: int32 [N].
            weights: float32 [N].
            in_pieces: Whether devices have parts of V each. The target's logit is then the sum of
                a product, since a lookup would gather them all.

        Returns:
            float32 scalar, and float32 [N, V].
        """
        fused = fusible(self._sum_and_gradient)
        return fused(logits, targets, weights, in_pieces=in_pieces)

    def _sum_and_gradient(
        self, logits: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, *, in_pieces: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        size, smoothing = logits.shape[-1], self.label_smoothing
        softmax = tf.nn.softmax(logits)
        largest, log_share = tf.reduce_max(logits, -1), tf.math.log(tf.reduce_max(softmax, -1))
        even = smoothing / size
        distribution = tf.one_hot(targets, size, 1.0 - smoothing + even, even)
        if in_pieces:
            wanted = tf.reduce_sum(logits * distribution, axis=-1)
        else:
            wanted = (1.0 - smoothing) * tf.gather(logits, targets, batch_dims=1)
            if smoothing:
                wanted += smoothing * tf.reduce_mean(logits, axis=-1)
        losses = (largest - wanted) - log_share
        if self.z_loss:
            log_sum = largest - log_share
            losses += self.z_loss * tf.square(log_sum)
            softmax *= (1.0 + 2.0 * self.z_loss * log_sum)[:, None]
        return tf.reduce_sum(losses * weights), (softmax - distribution) * weights[:, None]


def predictions(
    tokens: tf.Tensor, segments: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Which token each position must predict, and whether it counts.

    Args:
        tokens: int32 [B, T+1].
        segments: int32 [B, T+1], the document of each token within its row, 0 for padding; None
            if every row is one document.

    Returns:
        Inputs int32 [B, T], targets int32 [B, T], and weights float32 [B, T]: 1 where the target
        belongs to the same document as the input, else 0.
    """
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    if segments is None:
        return inputs, targets, tf.ones_like(targets, tf.float32)
    same = (segments[:, 1:] == segments[:, :-1]) & (segments[:, 1:] != 0)
    return inputs, targets, tf.cast(same, tf.float32)


@dataclass(frozen=True)
class Head:
    """What turns hidden states into logits: the last step of a model.

    Args:
        logits: Maps hidden [n, D] to logits float32 [n, V].
        variables: What `logits` reads and learns.
        vocabulary_size: V.
        whole: Whether the logits of all tokens are made at once: where they lie in pieces on
            several devices, those of a block of tokens would be too few for each.
    """

    logits: Callable[[tf.Tensor], tf.Tensor]
    variables: Sequence[tf.Variable]
    vocabulary_size: int
    whole: bool = False


def loss_sum(
    loss: TokenLoss, head: Head, hidden: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor
) -> tf.Tensor:
    """Sum of the weighted losses of N tokens, block by block.

    Args:
        loss: Loss of a token.
        head: The model's last step.
        hidden: float [N, D].
        targets: int32 [N].
        weights: float32 [N].

    Returns:
        float32 scalar.
    """

    def block_sum(block: tuple[tf.Tensor, ...]) -> tf.Tensor:
        return tf.reduce_sum(loss(head.logits(block[0]), block[1]) * block[2])

    blocks = _blocks(head, hidden, targets, weights)
    if blocks is None:
        return block_sum((hidden, targets, weights))
    sums = tf.map_fn(
        block_sum, blocks, fn_output_signature=tf.float32, parallel_iterations=_ONE_AT_A_TIME
    )
    return tf.reduce_sum(sums)


def loss_sum_and_gradients(
    loss: TokenLoss, head: Head, hidden: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
    """Sum of the weighted losses of N tokens with its gradient, taken at once.

    Each block's logits are made, differentiated and forgotten, so that the memory they need does
    not grow with N. The caller hands the first gradient on to whatever made `hidden`.

    Args:
        loss: Loss of a token.
        head: The model's last step.
        hidden: float [N, D].
        targets: int32 [N].
        weights: float32 [N].

    Returns:
        The sum, float32 scalar; its gradient by `hidden`, [N, D]; its gradients by the head's
        variables, dense.
    """

    def differentiate(
        hidden: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            tape.watch([hidden, *head.variables])
            logits = head.logits(hidden)
        total, by_logits = loss.sum_and_gradient(logits, targets, weights, head.whole)
        by_hidden, *by_variables = tape.gradient(
            logits,
            [hidden, *head.variables],
            output_gradients=by_logits,
            unconnected_gradients="zero",
        )
        return total, by_hidden, [tf.convert_to_tensor(gradient) for gradient in by_variables]

    blocks = _blocks(head, hidden, targets, weights)
    if blocks is None:
        return differentiate(hidden, targets, weights)

    def add_block(
        index: tf.Tensor, total: tf.Tensor, by_hidden: tf.TensorArray, sums: list[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray, list[tf.Tensor]]:
        block_total, block_by_hidden, gradients = differentiate(*(part[index] for part in blocks))
        sums = [a + b for a, b in zip(sums, gradients, strict=True)]
        return index + 1, total + block_total, by_hidden.write(index, block_by_hidden), sums

    count = tf.shape(blocks[0])[0]
    _, total, by_hidden, gradients = tf.while_loop(
        lambda index, *_: index < count,
        add_block,
        (
            0,
            0.0,
            tf.TensorArray(hidden.dtype, count, element_shape=blocks[0].shape[1:]),
            [tf.zeros(variable.shape, variable.dtype) for variable in head.variables],
        ),
        parallel_iterations=_ONE_AT_A_TIME,
    )
    flat = tf.reshape(by_hidden.stack(), [-1, hidden.shape[-1]])
    return total, flat[: tf.shape(hidden)[0]], gradients


#: Iterations of a loop over blocks that may run together; more would hold more logits.
_ONE_AT_A_TIME = 1


def _blocks(
    head: Head, hidden: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor] | None:
    """The tokens as [blocks, n, ...], padded with weight 0; None if one block holds them all."""
    size = max(LEAST_TOKENS, LOGITS_PER_BLOCK // head.vocabulary_size)
    known = hidden.shape[0]
    if head.whole or (known is not None and known <= size):
        return None
    if known is not None:
        size = -(-known // -(-known // size))  # Blocks of equal size need the least padding.
    padding = -tf.shape(hidden)[0] % size

    def cut(x: tf.Tensor) -> tf.Tensor:
        padded = tf.pad(x, [[0, padding], *[[0, 0]] * (x.shape.rank - 1)])
        return tf.reshape(padded, [-1, size, *x.shape[1:]])

    return cut(hidden), cut(targets), cut(weights)
