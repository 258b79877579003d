"""Services: what Feast's own command finds, those of the tasks that were materialised here, below NORIA_HOME.

Where none was, it finds those of all tasks, and says which table it lacks.
"""

from feature_repo.definitions import define
from feature_repo.opening import tables_folder
from noria.task import TakesFeatures, load_task, task_names

_services = [task.service for task in map(load_task, task_names()) if isinstance(task, TakesFeatures)]
_here = [service for service in _services if tables_folder(service.name).is_dir()]

# Feast takes whatever stands under a name of its own in a module of this folder.
for _service in _here or _services:
    for _made in define(_service, tables_folder(_service.name)).objects():
        globals()[f"{type(_made).__name__}_{_made.name}"] = _made
