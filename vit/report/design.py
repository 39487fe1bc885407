"""How the images were tested, in words, where that was not on one test split."""

from .results import Results


def folds_in_words(results: Results) -> list[str]:
    """Return what a reader must know of a cross-validation; nothing of a comparison on one test split."""
    count, data = results.training.folds, results.data
    if not count:
        return []
    found = [
        f"{count} folds: every image was tested once by each model and seed, after training on the other "
        f"{count - 1} folds (about {data.training_images:,} images, and {data.validation_images:,} that validated). "
        "Copies and nearly equal images share a fold, unless data.groups says otherwise. Training times, learning "
        "curves and calibration are of all folds together; costs are those of one model."
    ]
    if results.training.search:
        found.append(
            "Learning rate and weight decay were searched in the first fold alone, whose training and validation "
            "images the other folds test: accuracies may be a little too high, for every model."
        )
    return found


def folds_caveat(results: Results) -> list[str]:
    """Return what the folds leave open."""
    if not results.training.folds:
        return []
    return [
        "Models of different folds learned from overlapping images: intervals and tests are widened by a fifth of "
        "the correction of Nadeau and Bengio (2003), which held 95 % on average over simulated learners and data sets; "
        "they speak of trainings on data sets of this size, not of one model that is trained on all images."
    ]
