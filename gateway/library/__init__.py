"""The library as it lies on a disk: a folder beside the settings, and `harmattan library`.

    LIBRARY/specimens/ID.csv       measured here, `harmattan library import FILE`
    LIBRARY/substances.csv         substances the shipped tables do not have
    LIBRARY/packages/NAME.hlp      installed, `harmattan library import PACKAGE`
    LIBRARY/trusted/NAME.pub       keys whose packages this post takes, `harmattan library trust`
                                   and `distrust`

`folder` loads these, `holdings` says what a loaded library rests on, `changes` changes them through
`writing`; `importing`, `campaign` and `reading` turn measured files into specimens, `publishing`
specimens into packages; `checking` verifies. `commands` and `changing` are the commands, `records`
and `showing` what they tell; `lists` reads a post's own watchlists, `rejudged` the journal.
"""
