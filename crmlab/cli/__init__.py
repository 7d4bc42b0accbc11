"""The commands behind ``make``: set up, open the course, test, check, and keep house.

``environment`` (the project's own packages and caches) and ``commands`` (what can be asked for)
import the standard library only, because they run before anything else is installed.
"""
