ip link add switch0 type bridge && ip link set switch0 up
for n in 1 2; do
    ip netns add node$n
    ip link add port$n type veth peer name eth0 address 02:00:00:00:07:0$n netns node$n
    ip link set port$n master switch0 up
    ip -n node$n address add 192.168.1.$n/24 dev eth0
    ip -n node$n link set eth0 up
    ip -n node$n link add cni0 type bridge
    ip -n node$n link set cni0 up
    ip -n node$n address add 10.244.$n.1/24 dev cni0
    ip netns exec node$n sysctl -qw net.ipv4.ip_forward=1
    ip -n node$n route add 10.244.$((3 - n)).0/24 via 192.168.1.$((3 - n))
done
for pod in client:1:2:veth8656f5cf web1:1:3:veth655d9dcb web2:2:2:veth1ecc3d79 web3:2:3:veth9591cb21; do
    IFS=: read -r name n own port <<< $pod
    ip netns add $name
    ip -n node$n link add $port type veth peer name eth0 address 02:00:00:00:0$n:0$own netns $name
    ip -n node$n link set $port master cni0 up
    ip -n $name address add 10.244.$n.$own/24 dev eth0
    ip -n $name link set eth0 up
    ip -n $name route add default via 10.244.$n.1
done
