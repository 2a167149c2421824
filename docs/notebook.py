# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---
# %% [markdown]
# # From a Keras model to measured TFLite files
#
# Open this file as a notebook: VS Code does it as it is, Jupyter with Jupytext, or
# after `jupytext --to notebook notebook.py`. The data are the digits of scikit-learn:
# nothing is downloaded.

# %%
import keras
import sklearn.datasets
import tensorflow as tf

keras.utils.set_random_seed(0)
digits = sklearn.datasets.load_digits()
# (1797, 8, 8, 1), in [0, 1].
images = (digits.images[..., None] / 16).astype("float32")


def pipeline(rows):
    """A data set of batches, in another order each time."""
    pairs = (images[rows], digits.target[rows])
    return tf.data.Dataset.from_tensor_slices(pairs).shuffle(2000).batch(32)


train, test = pipeline(slice(0, 1400)), pipeline(slice(1400, None))

# %% [markdown]
# A trained model, and a smaller network that is not trained yet. By the seed, they are
# the same when the notebook starts again: a run that was killed then goes on.


# %%
def network(width):
    """Images in [0, 1] to logits."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(width, 3, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )


model, small = network(32), network(4)
model.compile(
    optimizer="adam",
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train, epochs=5, verbose=2)

# %% [markdown]
# The run: the small network learns from the model and becomes an int8 file, and all is
# measured.

# %%
import distill

data = {"train": train, "test": test}
kd = {"trainer": {"name": "kd"}, "epochs": 20}
options = {"stages": [kd], "finish": ["int8_calibrated"], "max_accuracy_drop": 3}
result = distill.train(data=data, teacher=model, student=small, **options)
print(result.files, result.report["models"][-1]["accuracy"])
files = distill.finish(result.student, data=data, finish=["float16"])

# %% [markdown]
# The report of the run, as a page.

# %%
result.report
