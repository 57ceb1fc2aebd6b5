"""Exports a data set of the twin as iFDO, and reads it with the marine imaging community's own library."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from ifdo import iFDO
from pydantic import ValidationError

SCENARIO = """
seed = 3
frame = [64, 48]

[[message]]
at_s = 1
topic = "imager/image"
payload = { action = "update_config", config = { object_date = "2026-06-01", sample_id = "s", acq_id = "a", sample_project = "p", sample_operator = "Ada", sample_ship = "Tara", acq_instrument = "PlanktoScope", process_pixel = 0.75, object_lat = -16.5, object_lon = 179.9, object_depth_min = 0, object_depth_max = 10 } }

[[message]]
at_s = 2
topic = "imager/image"
payload = { action = "image", pump_direction = "FORWARD", volume = 0.006, nb_frame = 3, sleep = 0.5, flowrate = 3 }
"""
KNOWN = [
    "--handle", "https://hdl.handle.net/1/2", "--uncertainty", "100", "--pi", "Jane Doe <https://orcid.org/0000-0000-0000-0000>",
    "--license", "CC BY 4.0 <https://creativecommons.org/licenses/by/4.0/>", "--copyright", "Jane Doe",
]


def keys(document):
    """Every key that the standard names, with where it is."""
    header, items = document["image-set-header"], document["image-set-items"]
    return {("header", key) for key in header} | {(name, key) for name, item in items.items() for key in item}


def main(planktor):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "scenario.toml").write_text(SCENARIO)
        run = lambda *options: subprocess.run([planktor, *map(str, options)], capture_output=True, text=True)
        assert run("run", "--twin", folder / "scenario.toml", "--hurry", "--data", folder / "data").returncode == 0
        data_set = folder / "data/img/2026-06-01/s/a"

        refused = run("export", "--ifdo", data_set, "--to", folder)
        assert refused.returncode == 1 and "image-license is required" in refused.stderr, refused
        assert not list(folder.glob("*_ifdo.json")), "nothing is written that is not enough"

        made = run("export", "--ifdo", data_set, "--to", folder, *KNOWN)
        assert made.returncode == 0, made
        path = Path(made.stdout.strip())
        ours = json.loads(path.read_text())
        theirs = iFDO.load(path)
        # What the library does not know it drops: so nothing of ours is misspelt.
        assert keys(ours) == keys(theirs.to_dict()), keys(ours) ^ keys(theirs.to_dict())
        assert ours["$schema"] == theirs.to_dict()["$schema"]
        assert ours["image-set-header"]["image-set-ifdo-version"] == type(theirs.image_set_header).model_fields["image_set_ifdo_version"].default
        assert len(theirs.image_set_items) == 3
        header, item = theirs.image_set_header, next(iter(theirs.image_set_items.values()))
        assert (item.image_latitude, item.image_longitude, header.image_altitude_meters) == (-16.5, 179.9, -5.0)
        assert item.image_datetime.tzinfo is not None and item.image_datetime.year >= 2026, item.image_datetime

        # A check that cannot fail is none.
        ours["image-set-header"]["image-marine-zone"] = "bathtub"
        path.write_text(json.dumps(ours))
        try:
            iFDO.load(path)
        except ValidationError:
            print(f"iFDO {header.image_set_ifdo_version}: the library reads what planktor exports")
        else:
            sys.exit("the library takes anything")


main(sys.argv[1])
