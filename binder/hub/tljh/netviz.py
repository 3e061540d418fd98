"""netviz for a class on one server, with The Littlest JupyterHub.

Its place is /opt/tljh/config/jupyterhub_config.d/netviz.py; netviz's checkout is in /opt/netviz.
"""

c = get_config()  # noqa: F821 (JupyterHub gives it)

# Her copies of the lessons, the settings of `netviz lab`, and then the hub's own program.
c.Spawner.cmd = ["/opt/tljh/user/bin/python", "-P", "/opt/netviz/binder/hub/server.py"]
c.Spawner.default_url = "/lab/tree/00-start-here.ipynb"

# A lab's /tmp is the machine's: so each student gets one of her own.
c.SystemdSpawner.isolate_tmp = True
# Students do not see one another's processes. README.md names the properties that a lab forbids.
c.SystemdSpawner.unit_extra_properties = {"ProtectProc": "invisible"}
