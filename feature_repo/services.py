"""Services: what Feast's own command finds, those of all tasks, with the tables that lie below NORIA_HOME.

A registry may be shared: what is not materialised here may be elsewhere, so it is named all the same.
"""

from feature_repo.definitions import define
from feature_repo.opening import tables_folder
from noria.task import TakesFeatures, load_task, task_names

# Feast takes whatever stands under a name of its own in a module of this folder.
for _task in map(load_task, task_names()):
    if isinstance(_task, TakesFeatures):
        for _made in define(_task.service, tables_folder(_task.service.name)).objects():
            globals()[f"{type(_made).__name__}_{_made.name}"] = _made
