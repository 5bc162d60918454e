"""What a node needs: heap, allocation per reading, and the speed of its encoder."""
