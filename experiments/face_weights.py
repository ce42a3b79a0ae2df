r"""Converts the weights of face-api's networks, of identity and of age, from their TensorFlow.js files.

    python -m experiments.face_weights --from=FOLDER --output=face.npz

FOLDER is `model` of the npm package @vladmandic/face-api 1.7 (MIT licence; `npm pack @vladmandic/face-api` fetches it,
`package/model` is inside), or any other with its files face_recognition_model* and age_gender_model*.
"""

from pathlib import Path

from absl import flags

from experiments import face_networks, weights
from experiments.checkpoints import file_digest
from experiments.commands import UsageError, check_output, start

SOURCE = flags.DEFINE_string("from", None, "The folder with the weights of face-api.", required=True)
OUTPUT = flags.DEFINE_string("output", None, "The .npz file to write.", required=True)


def main() -> None:
    folder, output = Path(SOURCE.value).expanduser(), Path(OUTPUT.value)
    if output.suffix != ".npz":
        raise UsageError(f"--output={output} must end in .npz.")
    check_output(output)
    variables = face_networks.convert(folder)
    try:
        weights.save(output, variables)
    except OSError as error:
        raise UsageError(f"--output={output} cannot be written: {error}.") from error
    print(f"{output}: sha256 {file_digest(output)}")


if __name__ == "__main__":
    start(main)
