ip link add switch type bridge
ip link set switch up
for n in 1 2; do
    ip netns add node$n
    ip netns add pod$n
    ip link add up$n type veth peer name eth0 address 02:00:00:00:07:0$n netns node$n
    ip link set up$n master switch up
    ip -n node$n address add 192.168.7.$n/24 dev eth0
    ip -n node$n link set lo up
    ip -n node$n link set eth0 up
    ip -n node$n link add cni0 type bridge
    ip -n node$n link set cni0 up
    ip -n node$n link add veth0 type veth \
        peer name eth0 address 02:00:00:00:00:0$n netns pod$n
    ip -n node$n link set veth0 master cni0 up
    ip -n pod$n address add 10.244.0.$n/24 dev eth0
    ip -n pod$n link set lo up
    ip -n pod$n link set eth0 mtu 1450 up
    ip -n node$n link add vxlan0 type vxlan id 42 dstport 4789 dev eth0 \
    local 192.168.7.$n remote 192.168.7.$((3 - n))
    ip -n node$n link set vxlan0 master cni0 up
done
sleep 2
