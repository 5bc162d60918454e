"""Instruments, authorities and weather that do not exist, good enough to train on.

Each simulator speaks the interface of the real thing (a serial line, HTTPS) and is met only
through it; nothing that runs at a post imports this package. Each can be used alone:

    python -m simulators.spectrometer --sample ammonium_nitrate
    python -m simulators.headquarters --directory /tmp/authority
"""
