"""The library as it lies on a disk: a folder beside the settings, and `harmattan library`.

    LIBRARY/specimens/ID.csv       measured here, `harmattan library import FILE`
    LIBRARY/substances.csv         substances the shipped tables do not have
    LIBRARY/packages/NAME.hlp      installed, `harmattan library import PACKAGE`
    LIBRARY/trusted/NAME.pub       keys whose packages this post takes, `harmattan library trust`

`folder` finds, loads and changes these; `importing` and `reading` turn measured files into
specimens; `commands`, `records` and `showing` are what a person meets.
"""
