"""What the app puts into other apps' tables of a site, and takes out again.

Each part makes what is missing, brings up to date what nobody has edited, and can put away all of it. Nothing here
knows the rooms above: they, and `crm_recharge.install`, say what is wanted.
"""
