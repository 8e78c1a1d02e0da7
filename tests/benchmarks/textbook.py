"""Chollet, *Deep Learning with Python*, 2nd ed., listings 9.15 to 9.19, as printed: what we measure against."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

img_width = 200
img_height = 200


class Textbook:
    """The listings' functions around one feature extractor; each has its own traces, as the book's have."""

    def __init__(self, feature_extractor: keras.Model) -> None:
        self.feature_extractor = feature_extractor

        def compute_loss(image, filter_index):
            activation = feature_extractor(image)
            filter_activation = activation[:, 2:-2, 2:-2, filter_index]
            return tf.reduce_mean(filter_activation)

        @tf.function
        def gradient_ascent_step(image, filter_index, learning_rate):
            with tf.GradientTape() as tape:
                tape.watch(image)
                loss = compute_loss(image, filter_index)
            grads = tape.gradient(loss, image)
            grads = tf.math.l2_normalize(grads)
            image += learning_rate * grads
            return image

        self.gradient_ascent_step = gradient_ascent_step

    def generate_filter_pattern(self, filter_index: int, start: tf.Tensor | None = None) -> np.ndarray:
        iterations = 30
        learning_rate = 10.0
        image = start
        if image is None:
            image = tf.random.uniform(minval=0.4, maxval=0.6, shape=(1, img_width, img_height, 3))
        for _ in range(iterations):
            image = self.gradient_ascent_step(image, filter_index, learning_rate)
        return image[0].numpy()


def deprocess_image(image: np.ndarray) -> np.ndarray:
    image -= image.mean()
    image /= image.std()
    image *= 64
    image += 128
    image = np.clip(image, 0, 255).astype("uint8")
    return image[25:-25, 25:-25, :]
