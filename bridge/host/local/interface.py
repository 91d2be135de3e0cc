"""What programs on this machine see of the hub: names, the introspection document, and the names of errors.

An interface's number grows when it changes so that a program would notice;
the one before stays beside it.
"""

from typing import Final

from functions.domain.faults import Fault

NAME: Final = "io.edgeberry.devicehub"
PATH: Final = "/io/edgeberry/devicehub"
HUB: Final = f"{NAME}.Hub1"
REGISTRY: Final = f"{NAME}.Registry1"
TWIN: Final = f"{NAME}.Twin1"

# Documents are JSON in a string, as everywhere else: what is in them is the hub's written interface.
XML: Final = f"""
<node>
  <interface name="{HUB}">
    <property name="Version" type="s" access="read"/>
  </interface>
  <interface name="{REGISTRY}">
    <method name="Query">
      <arg name="query" type="s" direction="in"/>
      <arg name="sort" type="s" direction="in"/>
      <arg name="limit" type="u" direction="in"/>
      <arg name="offset" type="u" direction="in"/>
      <arg name="page" type="s" direction="out"/>
    </method>
    <method name="Get">
      <arg name="device" type="s" direction="in"/>
      <arg name="view" type="s" direction="out"/>
    </method>
    <signal name="StatusChanged">
      <arg name="devices" type="as"/>
    </signal>
  </interface>
  <interface name="{TWIN}">
    <method name="Get">
      <arg name="device" type="s" direction="in"/>
      <arg name="twin" type="s" direction="out"/>
    </method>
    <method name="Update">
      <arg name="device" type="s" direction="in"/>
      <arg name="desired" type="s" direction="in"/>
      <arg name="expectedVersion" type="x" direction="in"/>
      <arg name="twin" type="s" direction="out"/>
    </method>
    <signal name="Changed">
      <arg name="devices" type="as"/>
    </signal>
  </interface>
</node>
"""


def error_name(fault: Fault) -> str:
    """The name of the D-Bus error that tells of a fault: ``io.edgeberry.devicehub.Error.UnknownDevice``."""
    return f"{NAME}.Error.{''.join(word.capitalize() for word in fault.reason.split('_'))}"
