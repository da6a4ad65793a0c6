"""Says which machines the wheel is for: it holds a program, for any Python 3."""

import os
import platform

from setuptools import Distribution, setup
from wheel.bdist_wheel import bdist_wheel


class ForOneMachine(Distribution):
    def has_ext_modules(self):
        return True


class Wheel(bdist_wheel):
    def get_tag(self):
        # Of the libc that the program was linked with: newer ones run it too.
        major, minor = os.confstr("CS_GNU_LIBC_VERSION").split()[1].split(".")[:2]
        return "py3", "none", f"manylinux_{major}_{minor}_{platform.machine()}"


setup(distclass=ForOneMachine, cmdclass={"bdist_wheel": Wheel})
