#!/usr/bin/env bash
# Take out of the base what a running program never needs: pip and what belongs to it, wheels, set-user-id bits.
# Debian's Python and the one of the official image keep them in different places.
set -euo pipefail

mapfile -t installers < <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' 'python3*-pip*' 'python3*-venv' 'python3-setuptools*' \
  'python3-wheel*' 2>/dev/null | awk '$2 == "installed" { print $1 }')
[ ${#installers[@]} = 0 ] || apt-get purge -y -qq --auto-remove "${installers[@]}" >/dev/null
rm -rf /usr/local/lib/python3.*/site-packages/* /usr/local/lib/python3.*/ensurepip /usr/local/lib/python3.*/idlelib
rm -rf /usr/local/bin/pip* /usr/local/bin/idle* /usr/local/bin/2to3* /usr/local/bin/python*-config /usr/local/include
rm -rf "${UV_FIND_LINKS:-/tmp/none}" "${PIP_FIND_LINKS:-/tmp/none}"
rm -rf /root/.cache /var/lib/apt/lists/* /var/cache/* /var/log/* /usr/share/man /usr/share/info /usr/share/locale
find /usr/share/doc -type f ! -name copyright -delete
find / -xdev -type f -perm /6000 -exec chmod a-s {} +

# The official image comes without bytecode, and whoever runs it may not write any.
library=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
python3 -m compileall -qq -j 0 --invalidation-mode unchecked-hash "$library" || true  # lib2to3 keeps wrong files to test with

# A name for the user that the images run as. Any other one does as well: nothing looks the name up.
echo 'noria:x:65532:' >> /etc/group
echo 'noria:x:65532:65532:noria:/tmp:/usr/sbin/nologin' >> /etc/passwd
